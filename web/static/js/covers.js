/** Covers: the cut between a picture without and with the result follows the pointer, or a slider for the keyboard. */
const cover = (element) => element?.closest?.(".compared");
const cut = (element, percent) => element.style.setProperty("--cut", `${percent}%`);

addEventListener("pointermove", ({ target, clientX }) => {
  const found = cover(target);
  if (!found) return;
  const { left, width } = found.getBoundingClientRect();
  cut(found, ((clientX - left) / width) * 100);
});
addEventListener("pointerout", ({ target, relatedTarget }) => {
  const found = cover(target);
  if (found && found !== cover(relatedTarget)) cut(found, 0);
});
addEventListener("input", ({ target }) => target.matches(".cut") && cut(cover(target), target.value));
