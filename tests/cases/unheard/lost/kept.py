import pytest
class Kept:
    def go(self):
        self.code = pytest.main(['helpers/bad_pytest.py'])
if __name__ == "__main__":
    Kept().go()
