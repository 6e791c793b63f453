"""The two entry points: ``immpd`` for operators, ``immp`` for people and programs."""
