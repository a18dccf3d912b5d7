"""Texts reworded, one way a file. A way gives what it makes of a text, or None where it can
change nothing; what must stay as it is (numbers, addresses, code, a label's word) is kept from it.
"""
