"""Detection: does a message name a person together with their health, or carry a format that is PHI by nature?

Pure: values in, values out. `assess_texts` judges text, `extract` turns bytes into text (in a child process with
limits, see `gateway.flow.isolate`), `model` holds the values. Heavy imports happen on first use.
"""

from gateway.detect.model import Assessment, Extracted, Finding, Format, PartInput, PartVerdict, Text, Unread

__all__ = ["Assessment", "Extracted", "Finding", "Format", "PartInput", "PartVerdict", "Text", "Unread"]
