"""The ratings of videos: one for each user and video, and what they come to."""
