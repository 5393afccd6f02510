"""A third party's plugin: small components that the tests train in seconds."""
