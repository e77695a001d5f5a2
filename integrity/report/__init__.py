"""What does a person or another tool get to see of a result?"""
