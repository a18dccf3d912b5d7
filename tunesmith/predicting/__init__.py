"""What a finished model says: answers, classes, scores, vectors, likelihoods."""
