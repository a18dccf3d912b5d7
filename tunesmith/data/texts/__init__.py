"""What texts say by themselves, whatever row they stand in: likeness, personal data, mojibake,
language.
"""
