"""Lessons: their files, their claims, their experiments, and handouts."""
