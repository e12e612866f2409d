"""Labs: notebooks with gaps, checked by `gdm_core.checks`.

A lab is `labs/src/NN_name.py`.  An exercise begins with a Markdown cell whose header names and weighs it,

    # %% [markdown] exercise={"name": "log_joint", "difficulty": 1, "importance": 4, "minutes": 10}

and lasts until the next such cell or the next heading.  What stands between `### BEGIN SOLUTION` and
`### END SOLUTION` becomes a gap, in code and in Markdown; a cell tagged "check" asks `gdm_core.checks.labNN`, and its
figure is the picture that a right answer makes.  An exercise without a check is answered in words.
Data of a student's own come from SEED, which a cell tagged "own-data" sets (see `handout`).
"""
