"""What is in a tree of files, whatever it lies on?"""
