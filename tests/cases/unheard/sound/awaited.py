import asyncio
import functools
import unittest


def awaits(function):
    @functools.wraps(function)
    def waits(*given):
        return asyncio.run(function(*given))

    return waits


class Decorated(unittest.TestCase):
    @awaits
    async def test_a(self):
        self.assertTrue(True)


class Own(unittest.TestCase):
    def _callTestMethod(self, method):
        asyncio.run(method())

    async def test_b(self):
        self.assertTrue(True)


class Isolated(unittest.IsolatedAsyncioTestCase):
    async def test_c(self):
        self.assertTrue(True)
