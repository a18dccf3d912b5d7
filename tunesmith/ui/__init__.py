"""The page of ``tunesmith ui``: the runs of a folder, each live, stopped and resumed."""
