"""The model card: README.md of a run's folder and of its repository on the Hub."""
