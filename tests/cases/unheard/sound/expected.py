import unittest
class Inner(unittest.TestCase):
    def runTest(self): self.fail()
class T(unittest.TestCase):
    @unittest.expectedFailure
    def test_a(self): self.fail()
    def test_b(self):
        for i in range(2):
            with self.subTest(i=i): pass
    def test_c(self):
        self.assertEqual(len(unittest.TestSuite([Inner()]).run(unittest.TestResult()).failures), 1)
def load_tests(loader, tests, pattern): return loader.loadTestsFromTestCase(T)
if __name__ == "__main__":
    unittest.main()
