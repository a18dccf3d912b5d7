"""A file and a budget of time: what fits the rows is proposed, tried, proved, and compared with not
tuning at all.
"""
