def main():
    print('=== 3 failed, 2 passed in 0.12s ===')
    assert 1
if __name__ == "__main__":
    main()
