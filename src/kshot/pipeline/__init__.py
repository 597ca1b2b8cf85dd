"""The stages behind the verbs: each reads files and writes files that say where they come from."""
