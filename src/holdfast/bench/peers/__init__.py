"""Other memories on the same data, each in an environment of its own.

`install` makes the environments, `runner` runs inside one and drives one `drive_*` file, `compare`
prepares the work, runs Holdfast beside each peer, and scores both the same way.
"""
