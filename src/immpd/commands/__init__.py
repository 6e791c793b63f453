"""The two entry points: ``immpd`` for operators, ``immp`` for people and programs.

The operator's commands lie here and not with the person's, because ``serve`` and a store without a
server need the composition root, which a face never imports.
"""
