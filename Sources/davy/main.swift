print("davy")
