"""The tunnel's page: what the chapters found, in plain words and charts, from their JSON files alone."""
