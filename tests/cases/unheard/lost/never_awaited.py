import unittest


class Generator(unittest.TestCase):
    def test_b(self):
        yield self.fail("unittest does not iterate over it")


class Plain(unittest.TestCase):
    async def test_a(self):
        self.fail("unittest does not await it")
