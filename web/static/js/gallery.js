/** The gallery: a file dropped on it goes to the try page. The search is in search.js. */
import { $ } from "./dom.js";
import { acceptFiles } from "./drop.js";

acceptFiles({ input: $("#gallery-file"), progress: $(".drop-progress"), note: $(".drop-zone .error-note"),
  got: (image) => location.assign(`/try?image=${image.id}`) });
