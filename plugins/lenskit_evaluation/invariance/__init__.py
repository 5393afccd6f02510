"""`lenskit invariance`: was the lens kept and the rest forgotten?"""
