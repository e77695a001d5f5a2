"""What does a day of an enterprise mail service look like, and what is wrong with it?"""
