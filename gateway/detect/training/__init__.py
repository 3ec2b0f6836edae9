"""Training and evaluation of the detector: data, own templates, fitting. Not imported when mail is judged."""
