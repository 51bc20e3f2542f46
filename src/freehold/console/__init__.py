"""The console: pages for whoever operates a house and for its data protection officer.

No logic, and no script but for the sliders of the page on cost.
"""
