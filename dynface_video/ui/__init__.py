"""The page for the browser (extra `ui`): Gradio is imported only by the modules that make and serve it."""
