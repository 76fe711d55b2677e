import unittest


class Test(unittest.TestCase):
    def checks(self):
        self.fail("nobody comes here")


if __name__ == "__main__":
    unittest.main(testRunner=unittest.TextTestRunner)
