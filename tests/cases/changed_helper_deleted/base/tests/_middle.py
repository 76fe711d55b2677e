from . import _shared
