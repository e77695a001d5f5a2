"""What does a day of uploads to an enterprise's drive look like, and what is wrong with it?"""
