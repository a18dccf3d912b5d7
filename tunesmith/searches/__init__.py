"""Any settings searched: spaces, engines that pick the next trial, trials that are run folders."""
