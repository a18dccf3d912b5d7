"""The verbs that docstrings of functions begin with; a new one is added where it is needed."""

from __future__ import annotations

VERBS = frozenset(
    ["Adds", "Aligns", "Answers", "Applies", "Approximates", "Asks", "Asserts", "Attaches", "Averages", "Begins", "Builds", "Calibrates", "Calls", "Casts", "Changes", "Checks", "Chooses", "Classifies", "Clips", "Closes", "Collects", "Commits", "Compares", "Completes", "Computes", "Converts", "Copies", "Counts", "Cuts", "Cycles", "Decides", "Decodes", "Describes", "Divides", "Does", "Draws", "Edits", "Emits", "Encodes", "Ends", "Escapes", "Estimates", "Evaluates", "Examines", "Explains", "Fetches", "Fills", "Finds", "Finishes", "Fits", "Fixes", "Flushes", "Folds", "Follows", "Forgets", "Formats", "Gathers", "Generates", "Gives", "Groups", "Grows", "Guesses", "Halves", "Hands", "Hangs", "Hashes", "Hides", "Holds", "Identifies", "Inserts", "Joins", "Judges", "Keeps", "Lays", "Learns", "Leaves", "Lets", "Lists", "Loads", "Locks", "Looks", "Makes", "Maps", "Marks", "Matches", "Measures", "Mixes", "Moves", "Multiplies", "Names", "Normalises", "Notes", "Numbers", "Opens", "Pads", "Parses", "Passes", "Plans", "Plays", "Pools", "Prepares", "Prints", "Proves", "Puts", "Quantises", "Quotes", "Raises", "Ranks", "Reads", "Recognises", "Refuses", "Registers", "Removes", "Renders", "Repairs", "Repeats", "Replaces", "Requires", "Restores", "Returns", "Rewards", "Runs", "Samples", "Saves", "Says", "Scores", "Searches", "Seeds", "Sends", "Separates", "Serves", "Sets", "Settles", "Shortens", "Shows", "Silences", "Slices", "Splits", "Stacks", "Starts", "Subtracts", "Suggests", "Sums", "Switches", "Takes", "Tells", "Tokenises", "Trains", "Translates", "Turns", "Updates", "Validates", "Waits", "Wraps", "Writes", "Yields"]
)

# Plural nouns too: "Names of the files" does not say what a function does.
NOUNS_TOO = frozenset(
    ["Answers", "Counts", "Groups", "Marks", "Names", "Notes", "Numbers", "Ranks", "Rewards", "Samples", "Scores", "Turns"]
)
AFTER_A_NOUN = frozenset(["of", "to", "with", "which", "whose"])
