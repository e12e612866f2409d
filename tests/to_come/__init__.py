"""Stand-ins for models of chapters to come, written as files of `gdm_core/models` would be.

The contract tests walk them; each goes when the model whose place it holds comes.
"""
