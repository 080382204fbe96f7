"""A local server: models of GGUF files behind the OpenAI API and a chat page."""
