"""The status page: is everything fine?"""
