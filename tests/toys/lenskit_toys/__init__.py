"""Plugin of a third party, with small components that train in seconds."""
