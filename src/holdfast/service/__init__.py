"""Many memories under one folder, and who may do what with them: what every server stands on."""
