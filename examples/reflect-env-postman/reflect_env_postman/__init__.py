"""The environment postman for reflect."""
