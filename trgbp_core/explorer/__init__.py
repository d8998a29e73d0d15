"""What a page asks for, without Gradio."""
