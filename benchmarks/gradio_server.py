"""A function that does nothing in a Gradio queue, served on the given port by `.venv/gradio/bin/python`."""

import sys

import gradio


def answer(text: str) -> str:
    return text


if __name__ == "__main__":
    with gradio.Blocks(analytics_enabled=False) as blocks:
        box = gradio.Textbox()
        box.submit(answer, box, box, api_name="answer", concurrency_limit=1)
    blocks.queue(max_size=None)
    blocks.launch(server_name="127.0.0.1", server_port=int(sys.argv[1]), quiet=True, share=False)
