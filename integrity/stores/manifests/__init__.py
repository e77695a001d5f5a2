"""What claims to describe a tree of files, and what does it claim?"""
