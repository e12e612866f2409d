"""What labs ask of an answer: one file a lab, one function an exercise.

    from gdm_core.checks import lab01 as check

    check.log_joint(log_joint)  # prints one line: right, wrong with a hint, not written, or an error

A check calls the answer and looks at what comes back, never at its source.  `gdm labs check` and the notebook ask the
same functions.  Checks that find nothing are no proof: a grader repeats them with other numbers, and may ask more.
"""
