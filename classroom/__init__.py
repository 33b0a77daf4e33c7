"""The classroom: a question bank, a concept inventory and assignments that mark themselves.

``python -m classroom --help`` lists what can be done with them; the lecturer's guide says when.
"""
