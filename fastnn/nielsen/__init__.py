"""The programs of Michael Nielsen's *Neural Networks and Deep Learning*, on the fast engine.

`network`, `network2` and `mnist_loader` have the names, the arguments, the printed lines and the
random draws of the book's programs (http://neuralnetworksanddeeplearning.com; its code is under the
MIT licence). A program that imports them from here prints the same numbers, only faster.
"""
