"""`lenskit report`: one page that compares runs side by side."""
