"""The sandbox in which hostile bytes are opened: processes without files, network, or a way out.

``process.Zygote`` starts one interpreter that imports what decoding needs and then forks a ``process.Child`` in
milliseconds. Nothing here knows of media. See docs/jail.md.
"""
