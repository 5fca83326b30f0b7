"""The same policies, computed a second time, in Python and from the documents alone.

Answers for being independent: nothing here calls the program, its libraries or its output. Only the
few transforms that the shipped policies use are written down; a policy that uses another one fails
the test that needs it, and says so.
"""
