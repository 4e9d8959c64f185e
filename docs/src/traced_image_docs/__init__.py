"""The parts of the documentation that are made of the code: ``make docs`` writes them anew."""
