"""What is shown to others: the figures of a paper, and one self-contained page about trainings, tests and maps."""
